//! The rules by themselves: what each says, and what holds whatever the facts are.

mod accounts;
mod prekeys;
mod submissions;
