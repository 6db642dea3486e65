#[lwm2m_macros::lwm2m_object(xml = "../objects/broken.xml")]
struct Meter;

fn main() {}
