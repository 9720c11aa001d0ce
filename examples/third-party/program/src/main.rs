//! A program that offers services of others: the standard ones, and a stranger's.
//!
//! It has no service of its own. A crate that nothing mentions is left out by the compiler, and its
//! services with it, so the ones wanted are named here. What came of it:
//!
//! ```text
//! cargo run -p example-third-party -- services
//! cargo run -p example-third-party -- node
//! cargo run -p example-third-party -- call roman-numerals count first=1 how_many=3
//! {"number":1,"numeral":"I"}
//! {"number":2,"numeral":"II"}
//! {"number":3,"numeral":"III"}
//! ```
//!
//! An operator configures each under its own name in `distri.toml`; a name that is not linked, or a
//! key that the service does not know, keeps the node from starting:
//!
//! ```toml
//! [services.roman-numerals]
//! additive = true
//! ```

distri::main!(distri_services, roman_numerals);
