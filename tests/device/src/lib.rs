//! A LwM2M client: a library, the lwm2m-device binary and a fleet simulator.
