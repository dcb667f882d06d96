// A key-value namespace as workerd asks for it.

const kept = new Map();

export default {
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (request.method === "PUT") {
      kept.set(pathname, await request.arrayBuffer());
      return new Response();
    }
    const found = kept.get(pathname);
    return found === undefined ? new Response(null, { status: 404 }) : new Response(found);
  },
};
