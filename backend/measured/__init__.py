"""What finished runs on this box teach: records, and the corrections that follow from them."""
