use lwm2m_core::typed::Readable;
use lwm2m_objects::firmware_update;

fn read<T: Readable>() {}

fn main() {
    read::<firmware_update::Package>();
}
