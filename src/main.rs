//! The stock `distri` binary: the commands and, with the feature `services`, the standard services;
//! nothing else.

#[cfg(feature = "services")]
distri::main!(distri_services);

#[cfg(not(feature = "services"))]
distri::main!();
