"""The same plan on an engine elsewhere: the file that it takes, and handing it over."""
