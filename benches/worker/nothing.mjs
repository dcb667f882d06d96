// A worker that only passes requests on: what any worker costs.
export default {
  fetch(request, env) {
    return env.ORIGIN.fetch(new Request(request.url, request), { redirect: "manual" });
  },
};
