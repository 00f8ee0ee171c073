"""Language worlds: language models that are taught a behavior that trusted prompts do not show."""
