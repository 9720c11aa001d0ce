//! [`Complaints`]: every mistake of one item, gathered before any is reported.

use proc_macro2::TokenStream;
use quote::ToTokens;

/// Every mistake found so far, each at its token.
#[derive(Default)]
pub(crate) struct Complaints {
    found: Vec<syn::Error>,
}

impl Complaints {
    /// Adds a mistake at `tokens`. The message is lower case, has no full stop and says what to
    /// write instead.
    pub(crate) fn at(&mut self, tokens: impl ToTokens, message: impl Into<String>) {
        self.found
            .push(syn::Error::new_spanned(tokens, message.into()));
    }

    /// Adds what syn found.
    pub(crate) fn add(&mut self, error: syn::Error) {
        self.found.push(error);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(crate) fn count(&self) -> usize {
        self.found.len()
    }

    /// The mistakes as code that makes the compiler report them.
    pub(crate) fn into_compile_errors(self) -> TokenStream {
        self.found
            .iter()
            .map(syn::Error::to_compile_error)
            .collect()
    }

    /// The messages, for tests.
    #[cfg(test)]
    pub(crate) fn messages(&self) -> Vec<String> {
        self.found.iter().map(ToString::to_string).collect()
    }
}
