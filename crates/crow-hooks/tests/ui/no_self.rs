use crow_hooks::{hookimpls, hookspecs};

#[hookspecs(project = "shop")]
pub trait Shop {
    async fn before_order(customer: &str, order: &mut Vec<String>);
    #[hookspec(firstresult)]
    async fn shipping(order: &[String]) -> u32;
    fn label(order: &[String]) -> String;
}

struct Plugin;

#[hookimpls]
impl Shop for Plugin {
    async fn shipping(order: &[String]) -> u32 {
        order.len() as u32
    }
}

fn main() {}
