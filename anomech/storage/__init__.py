"""What is kept and read again: fitted state, files that cannot be led astray, the code behind."""
