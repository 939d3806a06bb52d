"""FHIR R4 bulk exports as a source of events."""
