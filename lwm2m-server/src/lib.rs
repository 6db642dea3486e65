//! The LwM2M server framework: embed it, extend it, run it.
