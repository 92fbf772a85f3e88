"""Samples and time: what vehicles say, kept and handed out."""
