"""How gunicorn serves the application and the receiver of webhooks. It knows neither of them."""
