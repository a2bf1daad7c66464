use crow_hooks::{hookspecs};

#[hookspecs]
pub trait Shop {
    #[hookspec(firstresult)]
    async fn before_order(customer: &str);
}

fn main() {}
