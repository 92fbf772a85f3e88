"""Robots that speak VDA 5050 2.1: messages, orders and the link."""
