"""Everything that runs Xinxiang: local engines, demonstration, checks, settings for production."""
