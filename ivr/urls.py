from django.urls import URLPattern

app_name = "ivr"
urlpatterns: list[URLPattern] = []
