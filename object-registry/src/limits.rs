//! How much of a file is taken before it is refused.

/// Bounds on what one XML file, or one folder of them, may contain.
///
/// The defaults leave room above everything that is registered: the largest object definition has
/// 67 resources and 33 kB, the index of the public registry 437 rows and 250 kB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a file. Default 1 MiB.
    pub file_bytes_max: usize,
    /// Elements inside each other. Default 16.
    pub depth_max: usize,
    /// Elements of a file. Default 50 000.
    pub elements_max: usize,
    /// Attributes of an element. Default 16.
    pub attributes_max: usize,
    /// Bytes of text directly inside an element. Default 64 KiB.
    pub text_bytes_max: usize,
    /// Objects of a file. Default 64.
    pub objects_max: usize,
    /// Resources of an object, or of a file of reusable resources. Default 1024.
    pub resources_max: usize,
    /// Rows of an index. Default 10 000.
    pub rows_max: usize,
    /// Files of a folder. Default 10 000.
    pub files_max: usize,
    /// Diagnostics kept of a file; one more says that there were others. Default 200.
    pub diagnostics_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            file_bytes_max: 1 << 20,
            depth_max: 16,
            elements_max: 50_000,
            attributes_max: 16,
            text_bytes_max: 64 << 10,
            objects_max: 64,
            resources_max: 1024,
            rows_max: 10_000,
            files_max: 10_000,
            diagnostics_max: 200,
        }
    }
}
