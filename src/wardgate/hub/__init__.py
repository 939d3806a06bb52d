"""The consortium's hub. It never sees a row."""
