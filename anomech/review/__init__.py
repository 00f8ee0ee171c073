"""The whole loop in one command: scan, audit, repair, proof, again; risk and a domain's policy."""
