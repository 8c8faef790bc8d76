"""Commands for who breaks the fleet on purpose: scenarios, the truth, and how real the fleet is."""
