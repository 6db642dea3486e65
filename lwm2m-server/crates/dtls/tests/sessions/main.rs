//! Client against server over a network that can be made as bad as one likes.

mod network;
mod pair;
mod psk;
