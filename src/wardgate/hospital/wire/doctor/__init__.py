"""Why a hospital's wire does not reach its hub: looked at from where the wire is, the ward's folder left alone."""
