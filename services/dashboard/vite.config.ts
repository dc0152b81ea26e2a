import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

/** `npm run dev` serves the app with hot reload in front of the API that MUSTER_SERVER names. */
const server = process.env["MUSTER_SERVER"] ?? "http://127.0.0.1:7380";

export default defineConfig({
  root: import.meta.dirname,
  base: "/",
  plugins: [react()],
  build: {
    outDir: "dist",
    emptyOutDir: true,
    target: "es2023",
    sourcemap: false,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 800,
  },
  server: { host: "127.0.0.1", proxy: { "/v1": server } },
});
