"""Models that are asked through a program or an address of this machine: docs/black-box.md."""
