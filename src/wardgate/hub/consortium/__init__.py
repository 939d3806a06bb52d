"""The consortium's identities: its own certificate authority, its members, and who is no longer one."""
