// What is a warning otherwise.
#![deny(deprecated)]

mod objects {
    lwm2m_macros::lwm2m_objects!("../objects/odd-object.xml");
}

#[allow(deprecated)]
mod known {
    lwm2m_macros::lwm2m_objects!("../objects/odd-object.xml");
}

#[lwm2m_macros::lwm2m_object(xml = "../objects/odd-object.xml")]
struct Odd;

#[allow(deprecated)]
#[lwm2m_macros::lwm2m_object(xml = "../objects/odd-object.xml")]
struct KnownOdd;

fn main() {}
