#[lwm2m_macros::lwm2m_object(xml = "../objects/water-meter.xml")]
struct Meter {
    volume: f64,
}

fn main() {}
