"""Connections to the outside: Kafka, PostgreSQL, addresses. (The folder is `io/`; Python owns the name `io`.)"""
