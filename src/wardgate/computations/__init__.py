"""Every federated computation, as hub, ward and auditor all know it: its word, its public parameters, its bounds."""
