//! What might look like a mistake and is none: the files beside the mistakes, in `ui/pass`. They
//! are modules of this one test, because building each alone would take minutes.

#[path = "ui/pass/argument-changed-in-the-body.rs"]
mod argument_changed_in_the_body;
#[path = "ui/pass/argument-not-used-yet.rs"]
mod argument_not_used_yet;
#[path = "ui/pass/helper-in-another-block.rs"]
mod helper_in_another_block;
#[path = "ui/pass/interface-with-more-than-methods.rs"]
mod interface_with_more_than_methods;
#[path = "ui/pass/result-under-another-name.rs"]
mod result_under_another_name;
#[path = "ui/pass/self-in-types.rs"]
mod self_in_types;
#[path = "ui/pass/service-in-a-function.rs"]
mod service_in_a_function;
#[path = "ui/pass/service-not-in-this-build.rs"]
mod service_not_in_this_build;
