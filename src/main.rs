//! The stock `distri` binary: the standard services and the commands, nothing else.

distri::main!(distri_services);
