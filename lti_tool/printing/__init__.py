"""What is made to be printed: certificates and credit statements as PDF, from plain values."""
