//! Integration tests of the whole server, over real sockets.

mod bootstrap;
mod components;
mod conformance;
mod conformance_hooks;
mod hooks;
mod hostile;
mod http;
mod limits;
mod moving;
mod observing;
mod oscore;
mod peer;
mod plans;
mod plugins;
mod quirks;
mod refusals;
mod registration;
mod reports;
mod requests;
mod secure;
mod site;
mod streams;
mod xml_device;
