//! Devices that deviate from the specification, as those in the field do: the server keeps working
//! with them, and says what is wrong where it cannot.

mod answers;
mod registrations;
mod scripted;
