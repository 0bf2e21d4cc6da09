"""Who vouches for badges: the body that issues, its DID and keys, how they sign, and which badges it took back."""
