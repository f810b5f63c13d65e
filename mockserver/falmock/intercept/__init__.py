"""Leads unchanged programs here: a certificate authority, a proxy, and the environment that names them."""
