"""The server: uvicorn with deadlines, and the guard around the app."""
