lwm2m_macros::lwm2m_objects!("../objects/broken.xml");

fn main() {}
