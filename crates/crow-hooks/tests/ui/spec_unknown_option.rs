use crow_hooks::{hookspecs};

#[hookspecs]
pub trait Shop {
    #[hookspec(first_result)]
    async fn shipping(customer: &str) -> u32;
}

fn main() {}
