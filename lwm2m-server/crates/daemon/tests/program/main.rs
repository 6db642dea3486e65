//! The binary as people meet it: the demo, the commands of the README, and wrong arguments.

mod bootstrap;
mod credentials;
mod demo;
mod errors;
mod hostile;
mod keygen;
mod models;
mod observe;
mod pipe;
mod plugin;
mod readme;
