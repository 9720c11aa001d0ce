//! The photographs that ship with the example, inside the program, so that it runs from anywhere.
//! Their origin and licence: `assets/README.md`.

use bytes::Bytes;

/// A picture with the name of its file.
#[derive(Clone)]
pub(crate) struct Photograph {
    pub(crate) name: &'static str,
    pub(crate) bytes: Bytes,
}

/// The photograph that is hidden.
pub(crate) fn secret() -> Photograph {
    let bytes = Bytes::from_static(include_bytes!("../assets/cat.jpg"));
    Photograph {
        name: "cat.jpg",
        bytes,
    }
}

/// The photograph it is hidden in.
pub(crate) fn cover() -> Photograph {
    let bytes = Bytes::from_static(include_bytes!("../assets/coffee.png"));
    Photograph {
        name: "coffee.png",
        bytes,
    }
}
