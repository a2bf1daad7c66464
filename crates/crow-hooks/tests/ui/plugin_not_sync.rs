use crow_hooks::{hookimpls, hookspecs};

#[hookspecs(project = "shop")]
pub trait Shop {
    async fn before_order(customer: &str, order: &mut Vec<String>);
    #[hookspec(firstresult)]
    async fn shipping(order: &[String]) -> u32;
    fn label(order: &[String]) -> String;
}

struct Plugin {
    count: std::cell::Cell<u32>,
}

#[hookimpls]
impl Shop for Plugin {
    fn shipping(&self) -> u32 {
        self.count.get()
    }
}

fn main() {}
