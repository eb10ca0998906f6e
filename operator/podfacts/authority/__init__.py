"""The CA, as plain data: certificates, what the Secret holds, and what becomes of it next. The time is an argument."""
