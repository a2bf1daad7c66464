use crow_hooks::{hookimpls, hookspecs};

#[hookspecs(project = "shop")]
pub trait Shop {
    async fn before_order(customer: &str, order: &mut Vec<String>);
    #[hookspec(firstresult)]
    async fn shipping(order: &[String]) -> u32;
    fn label(order: &[String]) -> String;
}

async fn something() {}

struct Plugin;

#[hookimpls]
impl Shop for Plugin {
    async fn shipping(&self) -> u32 {
        let count = std::rc::Rc::new(1);
        something().await;
        *count
    }
}

fn main() {}
