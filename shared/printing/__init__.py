"""Paper: forms and registers as PDF, laid out by typst with Chinese fonts embedded."""
