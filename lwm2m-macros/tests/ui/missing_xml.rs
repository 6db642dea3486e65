lwm2m_macros::lwm2m_objects!("no-such.xml");

fn main() {}
