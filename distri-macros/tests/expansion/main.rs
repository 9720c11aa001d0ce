//! Expansions that run: what users write, on a node, called by its typed client over a link.

mod codecs;
mod descriptors;
mod errors;
mod hygiene;
mod impl_form;
mod messages;
mod shapes;
mod start;
mod support;
mod trait_form;
