//! LwM2M object models from OMA's XML: parsing, versions, look-up.
