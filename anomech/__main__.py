"""`python -m anomech` is the command `anomech`."""

from anomech.cli.app import main

if __name__ == "__main__":
    main()
